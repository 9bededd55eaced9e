"""Typed access to the tables: one class per aggregate; `assembly.Store` holds them all."""
