#!/bin/sh
# After an installation, an upgrade or a removal of the package: systemd learns of the unit. What runs goes on.
[ ! -d /run/systemd/system ] || systemctl daemon-reload
