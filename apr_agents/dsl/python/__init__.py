"""The Python front end of the language: functions whose steps are traced once into a workflow."""
