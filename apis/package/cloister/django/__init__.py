"""What a Django project names in its settings to use Cloister."""
