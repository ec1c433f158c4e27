"""The only place for drop-in modules: other libraries' names and habits on this one."""
