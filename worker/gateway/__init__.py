"""Gateway: what all gateways share: outcomes, connections, logins and the register."""
