"""The report page: charts, tables and words made from the frames of the lake; it knows no disk layout."""
