"""Helpers: ``fx_helper.wrap`` and ``quant_switch.GlobalFakeQuantSwitch``."""

from __future__ import annotations
