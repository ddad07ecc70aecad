"""Papers for people: what a signed statement or a report says, as a page, as a PDF and as plain text."""
