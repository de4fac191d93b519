"""The training plugin's own operator table for bernoulli2 (X3), in words."""

from __future__ import annotations

from types import MappingProxyType

from qworkbench.march.row import PluginRow
from qworkbench.march.tables.rows import plugin

PLUGIN_ROWS: MappingProxyType[str, PluginRow] = MappingProxyType(
    {
        row.name: row
        for row in (
            *plugin(
                "torch.abs torch.acos torch.acosh torch.asin torch.asinh torch.atan torch.atanh torch.cos "
                "torch.cosh torch.erf torch.log torch.pow torch.reciprocal torch.selu torch.sin torch.sinh "
                "torch.sqrt torch.tan torch.div torch.min torch.Tensor.max torch.Tensor.min torch.maximum "
                "torch.minimum torch.ceil torch.floor torch.clamp torch.clip torch.Tensor.clamp "
                "torch.Tensor.clip torch.eq torch.ge torch.greater torch.greater_equal torch.gt torch.le "
                "torch.less torch.less_equal torch.lt torch.Tensor.eq torch.Tensor.ge torch.Tensor.greater "
                "torch.Tensor.greater_equal torch.Tensor.gt torch.Tensor.le torch.Tensor.less "
                "torch.Tensor.less_equal torch.gather torch.topk torch.nn.functional.grid_sample "
                "torch.nn.functional.pad torch.nn.AdaptiveAvgPool2d torch.nn.Conv3d torch.nn.ELU torch.nn.GLU "
                "torch.nn.Hardsigmoid torch.nn.LeakyReLU torch.nn.PReLU torch.nn.Softplus torch.nn.LayerNorm "
                "torch.nn.Linear torch.nn.LSTMCell torch.nn.MultiheadAttention torch.nn.Softmax "
                "torch.Tensor.transpose torch.Tensor.expand torch.Tensor.repeat torch.Tensor.tile "
                "torch.Tensor.reshape torch.Tensor.abs",
                "no",
                "none",
            ),
            *plugin(
                "torch.exp torch.nn.GELU torch.nn.Sigmoid torch.nn.SiLU torch.nn.Tanh",
                "yes",
                "active",
                inputs="int8",
                outputs="int8",
                notes="assembled from lookup tables, precision risk",
            ),
            *plugin(
                "torch.add torch.mul",
                "conditional",
                "active",
                constraint="C<=2048; no constant operand",
                inputs="int8;int16",
                outputs="int8;int16",
                stated=True,
            ),
            *plugin(
                "torch.sub",
                "conditional",
                "active",
                constraint="C<=2048",
                inputs="int8;int16",
                outputs="int8;int16",
            ),
            *plugin(
                "torch.max torch.argmax torch.argmin torch.Tensor.argmax torch.Tensor.argmin",
                "conditional",
                "active",
                constraint="only as model output; result packed as one tensor: value channel + index channel",
                inputs="int8",
                outputs="same as input",
                stated=True,
            ),
            *plugin(
                "torch.cat",
                "yes",
                "passive",
                inputs="int8;int16",
                outputs="int8;int16",
                stated=True,
                notes="bernoulli2: cat inputs should share one scale (optimize_graph unifies)",
            ),
            *plugin(
                "torch.matmul",
                "yes",
                "active",
                inputs="int8",
                outputs="int8;int32",
                stated=True,
            ),
            *plugin(
                "torch.mean",
                "conditional",
                "active",
                constraint="channel mean only; has trained quant params, not usable in pure inference",
                inputs="int8;int16",
                outputs="int8;int16",
                stated=True,
            ),
            *plugin(
                "torch.sum",
                "conditional",
                "active",
                constraint="sum over batch or channel only",
                inputs="int8",
                outputs="int8;int32",
                stated=True,
            ),
            *plugin(
                "torch.split torch.nn.PixelShuffle torch.nn.PixelUnshuffle",
                "yes",
                "passive",
                inputs="int8;int16",
                outputs="same as input",
            ),
            *plugin(
                "torch.nn.functional.interpolate torch.nn.Upsample torch.nn.UpsamplingBilinear2d "
                "torch.nn.UpsamplingNearest2d",
                "conditional",
                "passive",
                constraint="nearest or bilinear; 1/256<scale<=256",
                inputs="int8",
                outputs="int8",
                stated=True,
            ),
            *plugin(
                "torch.nn.functional.relu",
                "yes",
                "active",
                inputs="int8",
                outputs="int8",
                notes="Conv+BN+ReLU fuses automatically",
            ),
            *plugin(
                "torch.nn.ReLU torch.nn.ReLU6",
                "yes",
                "active",
                inputs="int8",
                outputs="same as input",
                notes="fuses",
            ),
            *plugin(
                "torch.nn.functional.relu6",
                "conditional",
                "active",
                constraint="the row is empty",
            ),
            *plugin(
                "torch.nn.AvgPool2d",
                "conditional",
                "passive",
                constraint="kernel in [1,7]; stride in [1,185]",
                inputs="int8",
                outputs="same as input",
                stated=True,
            ),
            *plugin(
                "torch.nn.BatchNorm2d torch.nn.BatchNorm3d",
                "conditional",
                "active",
                constraint="absorbed in QAT; standalone runs as BPU convolution",
            ),
            *plugin(
                "torch.nn.SyncBatchNorm",
                "conditional",
                "active",
                constraint="built from Conv2d",
                inputs="int8",
                outputs="int8",
            ),
            *plugin(
                "torch.nn.ChannelShuffle torch.nn.ZeroPad2d torch.nn.ConstantPad2d torch.nn.ReplicationPad2d",
                "yes",
                "passive",
                inputs="int8",
                outputs="same as input",
            ),
            *plugin(
                "torch.nn.Conv2d",
                "conditional",
                "active",
                constraint="see ONNX Conv",
                inputs="int8 (weight int8)",
                outputs="int8;int32",
                stated=True,
            ),
            *plugin(
                "torch.nn.ConvTranspose2d",
                "conditional",
                "active",
                constraint="kernel in [2,14]; C<=2048; p in [0,(k-1)/2]; stride in [2,4]; dilation 1",
                inputs="int8",
                outputs="int8",
                stated=True,
            ),
            *plugin(
                "torch.nn.Dropout torch.nn.Dropout2d torch.nn.Identity",
                "conditional",
                "none",
                constraint="removed",
                inputs="int8;int16;int32",
                outputs="same as input",
            ),
            *plugin(
                "torch.nn.MaxPool2d",
                "conditional",
                "passive",
                constraint="kernel in [1,64]; stride in [1,256]; padding>=0",
                inputs="int8",
                outputs="same as input",
                stated=True,
                notes="ONNX list says stride<=185",
            ),
            *plugin(
                "torch.quantization.QuantStub",
                "yes",
                "none",
                inputs="float32",
                outputs="int8;int16",
                notes="image range (-1,1): scale 1/128",
            ),
            *plugin(
                "torch.quantization.DeQuantStub",
                "yes",
                "none",
                inputs="int8;int16;int32",
                outputs="float32",
            ),
            *plugin(
                "torch.Tensor.__getitem__",
                "yes",
                "passive",
                inputs="int8;int16;int32",
                outputs="same as input",
                stated=True,
            ),
            *plugin(
                "horizon.nn.AnchorGenerator",
                "conditional",
                "none",
                constraint="shape must be known offline",
                inputs="int8;int16;int32;float32",
                outputs="float32",
            ),
            *plugin(
                "torchvision.ops.RoIAlign torchvision.ops.MultiScaleRoIAlign",
                "yes",
                "none",
                inputs="int8",
                outputs="int8",
            ),
        )
    }
)
