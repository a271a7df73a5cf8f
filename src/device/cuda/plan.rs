//! In which order, and on which streams, a program's steps are started: plain data, so that it can be tested anywhere.
//!
//! Buffers of different levels share memory, so a level begins only when the one before has ended. The steps of one level go to
//! a stream each: the first to stream 0, which all others wait for at the beginning of the level, and which waits for them at
//! its end. In a CUDA graph the streams are gone, and what remains is the order.

use crate::program::Program;

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The event happens when what is in the stream now is done.
    Record {
        /// Index of an event.
        event: usize,
        /// Index of a stream.
        stream: usize,
    },
    /// What follows in the stream waits for the event.
    Wait {
        /// Index of an event.
        event: usize,
        /// Index of a stream.
        stream: usize,
    },
    /// The step is started in the stream.
    Launch {
        /// Index of a step of the program.
        step: usize,
        /// Index of a stream.
        stream: usize,
    },
}

/// The event that begins a level's other streams; that of stream s, for s > 0, is event s.
const FORK: usize = 0;

/// All steps of `program`, level after level.
pub fn plan(program: &Program) -> Vec<Command> {
    let mut commands = Vec::new();
    for level in 0..program.levels() {
        let first = program.steps.partition_point(|step| step.level < level);
        let end = program.steps.partition_point(|step| step.level <= level);
        let others = 1..(end - first).max(1);
        if !others.is_empty() {
            commands.push(Command::Record { event: FORK, stream: 0 });
            commands.extend(others.clone().map(|stream| Command::Wait { event: FORK, stream }));
        }
        commands.extend((first..end).map(|step| Command::Launch { step, stream: step - first }));
        for stream in others {
            commands.push(Command::Record { event: stream, stream });
            commands.push(Command::Wait { event: stream, stream: 0 });
        }
    }
    commands
}

/// Streams that `commands` need, at least one, and as many events.
pub fn streams(commands: &[Command]) -> usize {
    let stream = |command: &Command| match *command {
        Command::Record { stream, .. } | Command::Wait { stream, .. } | Command::Launch { stream, .. } => {
            stream
        }
    };
    commands.iter().map(stream).max().unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kernels::CARDS;
    use crate::network::{AvgPoolPadding, Network};
    use crate::program::{Fusion, Keep, Options, Target};

    fn programs() -> Vec<Program> {
        let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap();
        let mut programs = Vec::new();
        for (fusion, keep) in [(Fusion::Full, Keep::Output), (Fusion::None, Keep::Layers)] {
            for card in CARDS {
                let options = Options { fusion, keep, ..Options::new(1, Target::gpu(card.gpu())) };
                programs.push(Program::lower(&network, &options).unwrap());
            }
        }
        programs
    }

    /// The steps that are certain to have ended when each step begins, and at the end of stream 0.
    fn ended_before(commands: &[Command], steps: usize) -> (Vec<BTreeSet<usize>>, BTreeSet<usize>) {
        let count = streams(commands);
        let mut ended = vec![BTreeSet::new(); steps];
        let (mut of_stream, mut of_event) = (vec![BTreeSet::new(); count], vec![None; count]);
        for command in commands {
            match *command {
                Command::Record { event, stream } => of_event[event] = Some(of_stream[stream].clone()),
                Command::Wait { event, stream } => {
                    let recorded =
                        of_event[event].clone().expect("an event is recorded before it is waited for");
                    of_stream[stream].extend(recorded);
                }
                Command::Launch { step, stream } => {
                    ended[step] = of_stream[stream].clone();
                    of_stream[stream].insert(step);
                }
            }
        }
        (ended, of_stream.swap_remove(0))
    }

    #[test]
    fn a_step_begins_when_all_lower_levels_have_ended_and_no_sooner() {
        for program in programs() {
            let commands = plan(&program);
            let (ended, end) = ended_before(&commands, program.steps.len());
            for (step, ended) in program.steps.iter().zip(&ended) {
                let lower = (0..program.steps.len()).filter(|&s| program.steps[s].level < step.level);
                assert_eq!(*ended, lower.collect::<BTreeSet<_>>(), "{}", step.name);
            }
            assert_eq!(end.len(), program.steps.len(), "stream 0 waits for everything");
        }
    }

    #[test]
    fn a_level_of_three_steps() {
        let mut program = programs().swap_remove(0);
        program.steps.truncate(5);
        for (step, level) in program.steps.iter_mut().zip([0, 1, 1, 1, 2]) {
            step.level = level;
        }
        use Command::{Launch, Record, Wait};
        let expected = [
            Launch { step: 0, stream: 0 },
            Record { event: 0, stream: 0 },
            Wait { event: 0, stream: 1 },
            Wait { event: 0, stream: 2 },
            Launch { step: 1, stream: 0 },
            Launch { step: 2, stream: 1 },
            Launch { step: 3, stream: 2 },
            Record { event: 1, stream: 1 },
            Wait { event: 1, stream: 0 },
            Record { event: 2, stream: 2 },
            Wait { event: 2, stream: 0 },
            Launch { step: 4, stream: 0 },
        ];
        assert_eq!(plan(&program), expected);
        assert_eq!(streams(&expected), 3);
    }

    #[test]
    fn every_step_is_started_once_and_few_streams_are_enough() {
        for program in programs() {
            let commands = plan(&program);
            let started: Vec<usize> = commands
                .iter()
                .filter_map(|command| match command {
                    Command::Launch { step, .. } => Some(*step),
                    _ => None,
                })
                .collect();
            assert_eq!(started, (0..program.steps.len()).collect::<Vec<_>>());
            assert!((2..=8).contains(&streams(&commands)), "{}", streams(&commands));
        }
    }
}
