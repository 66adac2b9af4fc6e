"""Ask, Pose, Unite: contacts asked of a model, corrected by keypoints and people, united in two fitted bodies."""
