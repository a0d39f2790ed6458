//! Steps over scores columns.
