"""The same sandboxes behind the interfaces of other frameworks."""
