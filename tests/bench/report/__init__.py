"""The table and the pictures of docs/performance.md."""
