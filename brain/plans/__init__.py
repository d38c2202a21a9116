"""Plans and intents as published, and the vocabulary of permits."""
