"""An AMQP 0-9-1 connection for the paths every message takes.

Frames of the hot methods are read and written in batches, without an object or a task for each; whatever
is rare (handshake, declarations, consumers, closes) goes through pamqp. docs/adr/0019-lanes.md says why.
"""
