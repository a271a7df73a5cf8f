//! Registers that the hardware fills.

use super::Setting;
use crate::lower::Special;

/// The value of `special` in thread number `thread` of the block at `place`.
pub(super) fn value(special: Special, setting: &Setting<'_>, place: [u32; 3], thread: u32) -> u32 {
    let [x, y, _] = setting.block;
    let lane = thread % 32;
    match special {
        Special::Tid(axis) => [thread % x, thread / x % y, thread / x / y][axis],
        Special::Ntid(axis) => setting.block[axis],
        Special::Ctaid(axis) => place[axis],
        Special::Nctaid(axis) => setting.grid[axis],
        Special::LaneId => lane,
        Special::WarpId => thread / 32,
        Special::LaneMaskEq => 1 << lane,
        Special::LaneMaskLt => (1 << lane) - 1,
        Special::LaneMaskLe => u32::MAX >> (31 - lane),
        Special::LaneMaskGt => !(u32::MAX >> (31 - lane)),
        Special::LaneMaskGe => !((1 << lane) - 1),
    }
}
