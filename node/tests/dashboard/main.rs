//! The dashboard in a real browser, against real nodes: what it shows is what the API says, what happens shows, a proof is
//! checked, it is usable without a mouse and without eyes, and nothing leaves for elsewhere.

mod browser;
mod loading;
mod looks;
mod modules;
mod page;
mod proof;
mod reading;
mod values;
mod world;
