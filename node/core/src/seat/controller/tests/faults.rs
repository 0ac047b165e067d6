//! Random faults, and then none: is there a state to get stuck in?

use proptest::prelude::*;

use super::serving;
use super::world::World;
use crate::seat::event::Order;
use crate::seat::own::NoShadow;
use crate::seat::takeover::WhyNot;

#[derive(Debug, Clone)]
enum Fault {
    Link(usize, usize, bool),
    Node(usize, bool),
    Answers(usize, bool),
    Restart(usize),
    Switchover(usize),
    Write(usize),
}

fn fault() -> impl Strategy<Value = Fault> {
    let node = || 0..4_usize;
    prop_oneof![
        4 => (node(), node(), any::<bool>()).prop_map(|(from, to, is_cut)| Fault::Link(from, to, is_cut)),
        2 => (node(), any::<bool>()).prop_map(|(node, is_up)| Fault::Node(node, is_up)),
        1 => (node(), any::<bool>()).prop_map(|(node, answers)| Fault::Answers(node, answers)),
        1 => node().prop_map(Fault::Restart),
        1 => node().prop_map(Fault::Switchover),
        2 => node().prop_map(Fault::Write),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever fails, no two leases run (the world looks at each step), and once all is well again the seat is served and
    /// could be taken over. Where candidates have bound the voters against each other (V3), operators settle it.
    #[test]
    fn whatever_fails_the_seat_is_served_once_all_is_well(
        faults in prop::collection::vec((fault(), 1..5_000_u64), 1..40),
        degrades in any::<bool>(),
    ) {
        let policy = if degrades { NoShadow::Degrade } else { NoShadow::Block };
        let mut world = serving(policy, 4);
        for (fault, ms) in faults {
            match fault {
                Fault::Link(from, to, true) => drop(world.cut.insert((from, to))),
                Fault::Link(from, to, false) => drop(world.cut.remove(&(from, to))),
                Fault::Node(node, is_up) => world.nodes[node].is_up = is_up,
                Fault::Answers(node, is_answering) => world.nodes[node].is_answering = is_answering,
                Fault::Restart(node) => world.restart(node),
                Fault::Switchover(node) => drop(world.order(node, Order::Switchover)),
                Fault::Write(node) if world.serving() == Some(node) => world.nodes[node].staged += 1,
                Fault::Write(_) => {}
            }
            world.run(ms);
        }
        world.cut.clear();
        for node in &mut world.nodes {
            (node.is_up, node.is_answering) = (true, true);
        }
        world.gossip();
        world.run(60_000);
        if world.serving().is_none() {
            world.operate();
        }
        let is_safe = |world: &World| {
            let possible = world.nodes[world.holder()].controller.takeover_possible(world.now());
            matches!(possible, Some(Ok(_) | Err(WhyNot::NoShadow)))
        };
        world.until("it could be taken over", |world| is_safe(world) && world.serving() == Some(world.holder()));
    }
}
