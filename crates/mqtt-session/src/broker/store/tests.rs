//! What leaves when, what is stored, and what a restart finds.
