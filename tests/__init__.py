"""Tests; those in Rust are a crate, those of the deployed service a Python package."""
