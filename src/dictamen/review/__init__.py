"""People look at masks and reports, and say what is wrong: masks under review, the feedback store, the page."""
