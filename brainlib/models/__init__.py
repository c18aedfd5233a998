"""Networks, their training, and Grad-CAM: what this wing does with Keras knows neither papers nor data sets.

`backbones` lists the pretrained networks and finds their weights, `build` builds a network from a
`ModelSpec`, `own` takes a user's function instead, `freezing` sets which layers train and cuts off a frozen
beginning, `training` trains in `phases`, with the optimizer of `adam` and the images that `feeding` brings
to the device, `gradcam` explains predictions, and `layers` holds the Keras layers that stored models contain.
Nothing imports TensorFlow before a function needs it.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "backbones": ["BACKBONES", "Weights", "find_weights"],
        "build": ["ModelSpec", "Network", "build_network"],
        "freezing": ["cut_frozen_prefix", "set_trainable"],
        "gradcam": ["METHODS", "grad_cam", "last_convolution", "overlay"],
        "training": ["Phase", "Task", "fit"],
    },
)
