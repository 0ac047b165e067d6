//! Real processes in network namespaces of their own: libp2p blocked while HTTP passes, both blocked, one direction
//! blocked; and states that were damaged by hand.

mod damage;
mod roads;
mod scenario;
mod world;
