"""A believable city for tests and the demo, written as offices would send it. Start at ``city``."""
