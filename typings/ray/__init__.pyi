# Ray is imported by its name where it is used. Only its base classes need a type: see data/.
