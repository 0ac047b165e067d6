//! Command lines as a table: what is read, what is refused.
