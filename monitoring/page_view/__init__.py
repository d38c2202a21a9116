"""The operator page's content."""
