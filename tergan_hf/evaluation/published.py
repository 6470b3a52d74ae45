"""Numbers from the paper (Ali & Hughes 2020), for comparison."""

# Table 1: accuracy in percent on Oulu-CASIA, six expressions, mean of eight folds.
OULU_CASIA = {
    "TER-GAN (paper)": 89.65,
    "DeRL": 88.0,
    "FN2EN": 87.71,
    "PPDN": 84.59,
    "DTAGN": 81.46,
    "Atlases": 75.52,
    "STM-Explet": 74.59,
    "CNN baseline (paper)": 73.14,
    "HOG 3D": 70.63,
    "LBP-TOP": 68.13,
}
OULU_CASIA_FOLDS = 8
