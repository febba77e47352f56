"""At rest: layout, part file and journal, receipts."""
