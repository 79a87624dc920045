"""The control plane's protocol; the modules beside this one are generated from site_control.proto."""
