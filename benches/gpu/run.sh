#!/bin/sh
# Everything worth knowing about nodal on this machine's GPU: see README.md beside this file. PYTHON names another python3.
cd "$(dirname "$0")" && exec "${PYTHON:-python3}" gpu/run.py "$@"
