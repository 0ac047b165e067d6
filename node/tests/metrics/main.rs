//! The figures of real nodes: what a scrape looks like, what it counts, and what is built upon its names.

mod openmetrics;

mod scrapes;

mod named;

mod scraped;

mod takeover;
