"""Intent bridge: makes plans of intents."""
