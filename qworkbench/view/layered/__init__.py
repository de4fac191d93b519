"""The steps of a layered drawing, in the order in which they run: ranks, columns, ordering, coordinates, routing."""
