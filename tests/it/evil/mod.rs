//! Guests that misbehave, each beside rules and sinks that do not, in a running program.
//!
//! Two instances get the same samples at the same time. Into the folder of one a bad guest is
//! dropped, the way an operator would; the other one stays clean. Whatever the guest does, it is
//! named for it, and what the neighbours say is what they say in the clean instance, to the byte.

mod cases;
mod world;

use world::World;

/// As bad guests come, one after the other, into one instance that never stops.
#[test]
fn a_bad_guest_is_named_and_its_neighbours_do_not_notice() {
    let mut world = World::new();
    let cases = cases::all(&world);
    let wrong: Vec<String> = cases.iter().flat_map(|case| world.live_through(case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.memory_is_bounded();
}
