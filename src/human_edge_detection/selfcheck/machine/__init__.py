"""What can be wrong with a machine: each check judges values that it is given, and each module gathers its own."""
