"""Plans and intents as published, and the words of permits."""
