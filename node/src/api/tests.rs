//! Tables: how errors become answers.
