"""Work on untrusted files in processes of their own, which may crash or hang without harm to this one."""
