"""What can be said against a record that its schema allows. Lint never makes a record invalid."""
