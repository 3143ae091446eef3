"""Durable channels under faults drawn at random: load, faults, and a judgement of what each subscriber received."""
