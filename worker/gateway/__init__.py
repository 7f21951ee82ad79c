"""Gateway: outcomes, connections, logins and the register that all gateways share."""
