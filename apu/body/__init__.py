"""The body: model files in SMPL-X's layout, the licence-free body shipped with the program, parts and regions."""
