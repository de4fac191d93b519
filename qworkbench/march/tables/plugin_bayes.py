"""The training plugin's own operator table for bayes (Ultra, J5), which bayes-e (RDK X5) shares, in words."""

from __future__ import annotations

from types import MappingProxyType

from qworkbench.march.row import PluginRow
from qworkbench.march.tables.rows import plugin

PLUGIN_ROWS: MappingProxyType[str, PluginRow] = MappingProxyType(
    {
        row.name: row
        for row in (
            *plugin(
                "torch.abs torch.Tensor.abs",
                "yes",
                "active",
                inputs="int8;int16",
                outputs="same as input",
            ),
            *plugin(
                "torch.acos torch.acosh torch.asin torch.asinh torch.atan torch.atanh torch.cos torch.cosh "
                "torch.erf torch.log torch.pow torch.reciprocal torch.selu torch.sin torch.sinh torch.sqrt "
                "torch.tan torch.exp torch.nn.ELU torch.nn.GLU torch.nn.Hardsigmoid torch.nn.LeakyReLU "
                "torch.nn.PReLU torch.nn.Softplus torch.nn.GELU torch.nn.Sigmoid torch.nn.SiLU torch.nn.Tanh",
                "yes",
                "active",
                inputs="int8;int16",
                outputs="int8;int16",
                notes="lookup table, precision risk",
            ),
            *plugin(
                "torch.add torch.mul",
                "conditional",
                "active",
                constraint=(
                    "broadcast on any dim but N, only one operand broadcast; scalar operand through "
                    "add_scalar/mul_scalar"
                ),
                inputs="int8;int16",
                outputs="int8;int16",
                stated=True,
            ),
            *plugin(
                "torch.sub",
                "conditional",
                "active",
                constraint="broadcast on any dim but N, only one operand broadcast",
                inputs="int8;int16",
                outputs="int8;int16",
            ),
            *plugin(
                "torch.div",
                "yes",
                "active",
                inputs="int16",
                outputs="int16",
                notes="int16 only",
            ),
            *plugin(
                "torch.max torch.argmax torch.argmin torch.Tensor.argmax torch.Tensor.argmin",
                "conditional",
                "active",
                constraint="index only as model output; N in [1,4096]; C,H,W in [1,65535]",
                inputs="int8;int16",
                outputs="int8;int16 (value), int32 (index)",
                stated=True,
            ),
            *plugin(
                "torch.min torch.Tensor.max torch.Tensor.min",
                "conditional",
                "active",
                constraint="index only as model output; N in [1,4096]; C,H,W in [1,65535]",
                inputs="int8;int16",
                outputs="int8;int16 (value), int32 (index)",
            ),
            *plugin(
                "torch.maximum torch.minimum",
                "yes",
                "active",
                inputs="int8;int16",
                outputs="int8;int16",
            ),
            *plugin(
                "torch.cat",
                "conditional",
                "passive",
                constraint="N<=4096; H*W*C<=65536; 2<=inputs<=1024",
                inputs="int8;int16",
                outputs="int8;int16",
                stated=True,
            ),
            *plugin(
                "torch.ceil torch.floor",
                "conditional",
                "active",
                constraint="|x|<=1e6 for int8, <=1e8 for int16",
                inputs="int8;int16",
                outputs="same as input",
            ),
            *plugin(
                "torch.clamp torch.clip torch.Tensor.clamp torch.Tensor.clip",
                "conditional",
                "active",
                constraint=(
                    "min/max: tensor, constant tensor, scalar or None; constant tensors should have the input's "
                    "range; rank<=10; dims in [1,65535]"
                ),
                inputs="int8;int16",
                outputs="same as input",
            ),
            *plugin(
                "torch.eq torch.ge torch.greater torch.greater_equal torch.gt torch.le torch.less "
                "torch.less_equal torch.lt torch.Tensor.eq torch.Tensor.ge torch.Tensor.greater "
                "torch.Tensor.greater_equal torch.Tensor.gt torch.Tensor.le torch.Tensor.less "
                "torch.Tensor.less_equal",
                "yes",
                "manual",
                inputs="int8;int16",
                outputs="bool",
            ),
            *plugin(
                "torch.gather torch.topk",
                "yes",
                "passive",
                inputs="int8;int16;int32",
                outputs="same as input",
            ),
            *plugin(
                "torch.matmul",
                "conditional",
                "active",
                constraint="size<1GB; N<=4096; C,H,W<=8192",
                inputs="int8",
                outputs="int8;int16;int32",
                stated=True,
                notes=(
                    "the table row prints only qint8/qint16/qint32 on the output side; int16 inputs are rejected on"
                    " X5 in practice"
                ),
            ),
            *plugin(
                "torch.mean",
                "conditional",
                "active",
                constraint="mean over C, H or W; has quant params",
                inputs="int8;int16",
                outputs="int8;int16",
                stated=True,
            ),
            *plugin(
                "torch.sum",
                "conditional",
                "active",
                constraint="sum over H, W or C only",
                inputs="int8;int16",
                outputs="int8;int16",
                stated=True,
            ),
            *plugin(
                "torch.split torch.nn.ZeroPad2d torch.nn.ConstantPad2d torch.nn.ReplicationPad2d "
                "torch.nn.PixelShuffle torch.nn.PixelUnshuffle torch.Tensor.expand torch.Tensor.repeat "
                "torch.Tensor.tile",
                "yes",
                "passive",
                inputs="int8;int16",
                outputs="same as input",
            ),
            *plugin(
                "torch.nn.functional.grid_sample",
                "conditional",
                "passive",
                constraint="H,W in [1,1024]; H*W<=720*1024; bilinear or nearest; padding zeros or border",
                inputs="int8 (grid int8;int16)",
                outputs="int8",
            ),
            *plugin(
                "torch.nn.functional.interpolate torch.nn.Upsample torch.nn.UpsamplingBilinear2d "
                "torch.nn.UpsamplingNearest2d",
                "conditional",
                "passive",
                constraint=(
                    "nearest or bilinear; C,H,W in [1,8192]; align_corners False/None; list scale needs "
                    "recompute_scale_factor=True"
                ),
                inputs="int8",
                outputs="int8",
                stated=True,
            ),
            *plugin(
                "torch.nn.functional.pad",
                "conditional",
                "passive",
                constraint="no reflect mode",
                inputs="int8;int16",
                outputs="same as input",
            ),
            *plugin(
                "torch.nn.functional.relu",
                "yes",
                "active",
                inputs="int8",
                outputs="same as input",
                notes="Conv+BN+ReLU fuses automatically",
            ),
            *plugin(
                "torch.nn.ReLU torch.nn.ReLU6",
                "yes",
                "active",
                inputs="int8;int16",
                outputs="same as input",
                notes="fuses",
            ),
            *plugin(
                "torch.nn.functional.relu6",
                "conditional",
                "active",
                constraint="fused form",
                inputs="int8",
                outputs="same as input",
            ),
            *plugin(
                "torch.nn.AdaptiveAvgPool2d",
                "yes",
                "passive",
                inputs="int8",
                outputs="same as input",
                stated=True,
                notes="approximated with AvgPool2d, not equivalent: precision issue",
            ),
            *plugin(
                "torch.nn.AvgPool2d",
                "conditional",
                "passive",
                constraint="kernel,stride,padding in [1,256]",
                stated=True,
            ),
            *plugin(
                "torch.nn.BatchNorm2d torch.nn.BatchNorm3d",
                "conditional",
                "active",
                constraint="absorbed in QAT; standalone follows Conv2d",
                inputs="int8",
                outputs="int8",
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
                "torch.nn.ChannelShuffle",
                "conditional",
                "passive",
                constraint="shuffle indices unique",
                inputs="int8;int16",
                outputs="same as input",
            ),
            *plugin(
                "torch.nn.Conv2d",
                "conditional",
                "active",
                constraint=(
                    "cin<=8192; cout<=8192 (<=16384 as model output); kernel<32 (weight H,W<=31); weight "
                    "elements<65535; dilation<=16 and stride==1 if dilation!=1; padding<=256; with summed input "
                    "(sumin) stride (1,1) or (2,2); int16 input: accumulated sum must fit int32"
                ),
                inputs="int8;int16 (weight int8, bias int32)",
                outputs="int8;int16;int32",
                stated=True,
            ),
            *plugin(
                "torch.nn.Conv3d",
                "conditional",
                "active",
                constraint=(
                    "N<=128; D,H,W,C<=65536; weight C<=65536, kd,kh<=9, kw<=8191; stride 1 or 2, equal on all axes;"
                    " pd<=kd/2, ph<=kh/2, pw<=kw/2; no group, no dilation"
                ),
                inputs="int8 (weight int8, bias int32)",
                outputs="int8;int16;int32",
                stated=True,
                notes="table cell says int8, text says int8/int16/int32 outputs",
            ),
            *plugin(
                "torch.nn.ConvTranspose2d",
                "conditional",
                "active",
                constraint=(
                    "N in [1,128]; cin,cout in [1,2048]; weight kh,kw in [2,14], elements<=65535; kernel>=stride; "
                    "stride in [1,14]; padding<=kernel/stride; out_pad in [0,1]; group must divide weight_N and "
                    "cin; dilation 1; sumin int8"
                ),
                inputs="int8 (bias int32)",
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
                "torch.nn.LayerNorm",
                "conditional",
                "active",
                constraint="H*W<=16384; normalized_shape H*W<16384",
                inputs="int8",
                outputs="int8;int16",
                notes=(
                    "assembled from several lookup tables; high precision risk; "
                    "rsqrt_kwargs={'auto_divide_strategy':'curvature'} can help at convert"
                ),
            ),
            *plugin(
                "torch.nn.Linear",
                "conditional",
                "active",
                constraint="in_features<=8192; out_features<=8192",
                inputs="int8 (weight int8, bias int32)",
                outputs="int8",
                stated=True,
            ),
            *plugin(
                "torch.nn.LSTMCell",
                "conditional",
                "active",
                constraint="input rank==2",
                inputs="int8;int16",
                outputs="int8;int16",
            ),
            *plugin(
                "torch.nn.MaxPool2d",
                "conditional",
                "passive",
                constraint="C,H,W in [1,8192]; kernel,stride in [1,256]; padding in [0,255]",
                inputs="int8",
                outputs="same as input",
                stated=True,
                notes="ONNX list states int16 too",
            ),
            *plugin(
                "torch.nn.MultiheadAttention",
                "conditional",
                "active",
                constraint="no add_bias_kv, no add_zero_attn; q,k,v embed_dim equal",
                inputs="int8;int16",
                outputs="int8;int16",
                notes="lookup ops and mask quantization: precision risk",
            ),
            *plugin(
                "torch.nn.Softmax",
                "yes",
                "manual",
                inputs="int8",
                outputs="int8;int16",
                stated=True,
                notes="assembled from lookup tables and sums; high precision risk",
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
                "conditional",
                "passive",
                constraint="the cells are empty",
                stated=True,
            ),
            *plugin(
                "torch.Tensor.transpose",
                "conditional",
                "passive",
                constraint="N may not move",
                inputs="int8;int16;int32",
                outputs="same as input",
                stated=True,
            ),
            *plugin(
                "torch.Tensor.reshape",
                "yes",
                "passive",
                outputs="same as input",
                stated=True,
            ),
            *plugin(
                "horizon.nn.AnchorGenerator",
                "yes",
                "none",
                inputs="int8;int16;int32;float32",
                outputs="float32",
            ),
            *plugin(
                "torchvision.ops.RoIAlign torchvision.ops.MultiScaleRoIAlign",
                "conditional",
                "none",
                constraint="1<=features<=5; boxes List[Tensor] [1,n,4] as left,top,right,bottom",
                inputs="int8",
                outputs="int8",
            ),
        )
    }
)
