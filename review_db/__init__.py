"""The store of pairs, answers, contacts, fits and decisions."""
