//! Steps over table columns.
