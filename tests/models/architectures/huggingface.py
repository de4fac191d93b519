"""The transformers package's own SegFormer, DeiT and DETR, tiny and with random weights; nothing is downloaded."""

from __future__ import annotations

from torch import nn


def segformer() -> nn.Module:
    """Return a two-stage SegFormer for six classes."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[4, 2], hidden_sizes=[16, 32], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=24, num_labels=6,
    )  # fmt: skip
    return SegformerForSemanticSegmentation(config)


def deit() -> nn.Module:
    """Return a two-layer DeiT with class and distillation token."""
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

    config = DeiTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8,
        num_labels=10, initializer_range=0.2,
    )  # fmt: skip
    model = DeiTForImageClassificationWithTeacher(config)
    embeddings = model.deit.embeddings
    for token in (embeddings.cls_token, embeddings.distillation_token, embeddings.position_embeddings):
        nn.init.normal_(token)  # trained ones are not zero, and a layer normalisation of zeros magnifies noise
    return model


def detr() -> nn.Module:
    """Return a DETR on a ResNet of four one-block stages."""
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, backbone=None, use_pretrained_backbone=False, d_model=16,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, num_queries=5, num_labels=4,
    )  # fmt: skip
    return DetrForObjectDetection(config)
