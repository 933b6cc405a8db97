"""Macro series: factors, vintages, yields and innovations, one row a month."""
