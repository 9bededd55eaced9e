"""A made-up shop with known groups: words in three languages, looks, and videos that show products together.

Made apart from any model: words, looks and videos follow from a product's group alone, so that what is found
alike can be compared with what is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pvm_core.arrays import F32
from pvm_core.text_vectors.tokens import unaccented

Language = Literal["en", "vi", "zh"]
_LANGUAGES: Final[tuple[Language, ...]] = ("en", "vi", "zh")
#: Numbers of a look.
_LOOK_DIM: Final = 128


@dataclass(frozen=True)
class ShopProduct:
    """A product of the generator.

    Attributes:
        group: what it is; department: what groups belong to.
        language: of its words.
        look: float32 (128,), unit length; what a picture's vector would be.
    """

    product_id: str
    name: str
    description: str
    category: str
    price: str
    group: int
    department: int
    language: Language
    look: F32


@dataclass(frozen=True)
class Shop:
    """Products, and videos as the numbers of the products that each shows."""

    products: tuple[ShopProduct, ...]
    videos: tuple[tuple[int, ...], ...]


#: Department -> its name in each language, and its groups: names in each language, then words of use.
_DEPARTMENTS: Final = (
    (
        ("Bedding", "Chăn ga gối", "床上用品"),
        (
            (
                ("ergonomic pillow", "orthopaedic pillow"),
                ("gối công thái học", "gối chỉnh hình"),
                ("人体工学枕", "护颈枕"),
                ("neck sleep support", "đỡ cổ ngủ ngon", "颈部支撑睡眠"),
            ),
            (
                ("duvet", "quilt"),
                ("chăn bông", "chăn ấm"),
                ("被子", "棉被"),
                ("warm winter cotton", "ấm mùa đông bông", "冬季保暖棉"),
            ),
            (
                ("fitted sheet", "bed sheet"),
                ("ga trải giường", "drap giường"),
                ("床单", "床笠"),
                ("elastic mattress cover", "bo chun bọc nệm", "弹力床垫套"),
            ),
            (
                ("mattress topper", "mattress pad"),
                ("tấm lót nệm", "topper nệm"),
                ("床垫", "薄垫"),
                ("memory foam soft layer", "mút hoạt tính êm", "记忆棉软层"),
            ),
        ),
    ),
    (
        ("Kitchen", "Nhà bếp", "厨房用品"),
        (
            (
                ("frying pan", "skillet"),
                ("chảo chống dính", "chảo rán"),
                ("平底锅", "煎锅"),
                ("non-stick induction coating", "chống dính bếp từ", "不粘涂层电磁炉"),
            ),
            (
                ("chef knife", "kitchen knife"),
                ("dao bếp", "dao thái"),
                ("菜刀", "厨刀"),
                ("sharp steel blade", "lưỡi thép sắc", "锋利钢刃"),
            ),
            (
                ("cutting board", "chopping board"),
                ("thớt gỗ", "thớt kháng khuẩn"),
                ("砧板", "切菜板"),
                ("bamboo wood surface", "gỗ tre mặt phẳng", "竹木面板"),
            ),
            (
                ("electric kettle", "water boiler"),
                ("ấm siêu tốc", "ấm đun nước"),
                ("电热水壶", "烧水壶"),
                ("fast boil litre", "đun sôi nhanh lít", "快速煮沸升"),
            ),
        ),
    ),
    (
        ("Desk", "Văn phòng", "办公桌面"),
        (
            (
                ("office chair", "desk chair"),
                ("ghế văn phòng", "ghế xoay"),
                ("办公椅", "转椅"),
                ("lumbar mesh adjustable", "lưới tựa lưng điều chỉnh", "腰托网布可调"),
            ),
            (
                ("standing desk", "height adjustable desk"),
                ("bàn đứng", "bàn nâng hạ"),
                ("升降桌", "站立办公桌"),
                ("motor height memory", "động cơ nâng độ cao", "电机高度记忆"),
            ),
            (
                ("desk lamp", "reading light"),
                ("đèn bàn", "đèn đọc sách"),
                ("台灯", "阅读灯"),
                ("led dimmable eye care", "led chỉnh sáng bảo vệ mắt", "护眼调光"),
            ),
            (
                ("mechanical keyboard", "gaming keyboard"),
                ("bàn phím cơ", "bàn phím gaming"),
                ("机械键盘", "游戏键盘"),
                ("switch backlight keys", "switch đèn nền phím", "轴体背光按键"),
            ),
        ),
    ),
    (
        ("Fitness", "Thể thao", "健身"),
        (
            (
                ("yoga mat", "exercise mat"),
                ("thảm tập yoga", "thảm thể dục"),
                ("瑜伽垫", "健身垫"),
                ("anti slip thick rubber", "chống trượt cao su dày", "防滑加厚橡胶"),
            ),
            (
                ("dumbbell", "hand weight"),
                ("tạ tay", "tạ đơn"),
                ("哑铃", "手铃"),
                ("iron grip kilogram", "sắt tay cầm ký", "铁质握把公斤"),
            ),
            (
                ("resistance band", "elastic band"),
                ("dây kháng lực", "dây đàn hồi"),
                ("弹力带", "阻力带"),
                ("latex stretch strength", "cao su kéo giãn lực", "乳胶拉伸力量"),
            ),
            (
                ("foam roller", "massage roller"),
                ("con lăn massage", "ống lăn xốp"),
                ("泡沫轴", "按摩滚轴"),
                ("muscle recovery deep", "giãn cơ phục hồi sâu", "肌肉恢复深层"),
            ),
        ),
    ),
    (
        ("Drinks", "Đồ uống", "饮料"),
        (
            (
                ("herbal tea", "infusion"),
                ("trà thảo mộc", "trà túi lọc"),
                ("花草茶", "养生茶"),
                ("caffeine free leaves", "không caffeine lá", "无咖啡因叶"),
            ),
            (
                ("ground coffee", "roasted coffee"),
                ("cà phê bột", "cà phê rang xay"),
                ("咖啡粉", "烘焙咖啡"),
                ("dark roast aroma", "rang đậm hương", "深烘香气"),
            ),
            (
                ("fruit juice", "fruit drink"),
                ("nước ép trái cây", "nước hoa quả"),
                ("果汁", "水果饮料"),
                ("vitamin no sugar", "vitamin không đường", "维生素无糖"),
            ),
            (
                ("sparkling water", "soda water"),
                ("nước có ga", "nước khoáng ga"),
                ("气泡水", "苏打水"),
                ("bubbles can zero", "sủi bọt lon", "气泡罐零卡"),
            ),
        ),
    ),
    (
        ("Beauty", "Làm đẹp", "美妆"),
        (
            (
                ("sunscreen", "sun cream"),
                ("kem chống nắng", "sữa chống nắng"),
                ("防晒霜", "防晒乳"),
                ("spf uv protection", "spf bảo vệ tia uv", "紫外线防护"),
            ),
            (
                ("lipstick", "lip colour"),
                ("son môi", "son lì"),
                ("口红", "唇膏"),
                ("matte long lasting shade", "lì lâu trôi màu", "哑光持久色号"),
            ),
            (
                ("face cleanser", "face wash"),
                ("sữa rửa mặt", "gel rửa mặt"),
                ("洗面奶", "洁面乳"),
                ("gentle foam skin", "dịu nhẹ bọt da", "温和泡沫肌肤"),
            ),
            (
                ("body lotion", "body milk"),
                ("sữa dưỡng thể", "kem dưỡng da"),
                ("身体乳", "润肤露"),
                ("moisture dry skin", "dưỡng ẩm da khô", "保湿干燥肌肤"),
            ),
        ),
    ),
)
#: Groups that are used together: what a video shows, as (department, group).
_THEMES: Final = (
    ((0, 0), (0, 1), (0, 2)), ((0, 0), (0, 3), (2, 0)), ((1, 0), (1, 1), (1, 2)), ((1, 3), (4, 0), (4, 1)),
    ((2, 0), (2, 1), (2, 3)), ((2, 1), (2, 2), (4, 1)), ((3, 0), (3, 2), (3, 3)), ((3, 0), (3, 1), (4, 3)),
    ((4, 2), (4, 3), (1, 2)), ((5, 0), (5, 2), (5, 3)), ((5, 1), (5, 2), (0, 2)), ((5, 0), (3, 0), (4, 3)),
)  # fmt: skip
_SAID: Final = {
    "en": (
        "High quality",
        "fast delivery",
        "best price this season",
        "original with warranty",
        "gift for family",
        "new model",
    ),
    "vi": (
        "Hàng chính hãng",
        "giao hàng nhanh",
        "giá tốt nhất",
        "bảo hành đổi trả",
        "quà tặng gia đình",
        "mẫu mới",
    ),
    "zh": ("正品保证", "快速发货", "全网低价", "质保退换", "家庭礼物", "新款"),
}
_SYLLABLES: Final = ("va", "lo", "mi", "ken", "tor", "sa", "ri", "bel", "no", "zu", "pa", "dex")


def make_shop(seed: int, products: int, videos: int) -> Shop:
    """A shop of so many products and videos, the same for the same arguments."""
    rng = np.random.default_rng([3_840, seed])
    centres = _looks(rng)
    listed = tuple(_product(rng, n, centres) for n in range(products))
    return Shop(listed, tuple(_video(rng, listed) for _ in range(videos)))


def _looks(rng: np.random.Generator) -> F32:
    """How each group looks: float32 (D, G, 128). Groups of a department share a third of it, and a few
    groups of different departments look the same, as boxes do."""
    shape = (len(_DEPARTMENTS), len(_DEPARTMENTS[0][1]), _LOOK_DIM)
    shared = rng.normal(size=(shape[0], 1, _LOOK_DIM))
    found = 0.6 * shared + rng.normal(size=shape)
    found[1, 3], found[4, 2], found[5, 2] = found[4, 1], found[5, 3], found[4, 0]
    return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True), np.float32)


def _product(rng: np.random.Generator, number: int, centres: F32) -> ShopProduct:
    department, group = int(rng.integers(len(_DEPARTMENTS))), int(rng.integers(len(_DEPARTMENTS[0][1])))
    spoken = int(rng.choice(3, p=(0.4, 0.4, 0.2)))
    language = _LANGUAGES[spoken]
    names, uses = _DEPARTMENTS[department][1][group][:3], _DEPARTMENTS[department][1][group][3]
    brand = "".join(rng.choice(_SYLLABLES, 2)).capitalize()
    size = f"{int(rng.integers(1, 90))} {rng.choice(('cm', 'ml', 'g', 'pcs'))}"
    name = f"{brand} {rng.choice(names[spoken])} {size}"
    if rng.random() < 0.25 and language == "en":
        # Shops that sell abroad name a thing in two languages.
        name += f" {rng.choice(names[1 + int(rng.integers(2))])}"
    words = [*rng.choice(_SAID[language], 2, replace=False)]
    if rng.random() < 0.7:
        words.insert(int(rng.integers(3)), uses[spoken])
    text = ". ".join(map(str, words))
    if language == "vi" and rng.random() < 0.3:
        name, text = unaccented(name), unaccented(text)
    category = _DEPARTMENTS[department][0][spoken] if rng.random() < 0.6 else ""
    look = centres[department, group] + rng.normal(size=_LOOK_DIM) * (0.9 / np.sqrt(_LOOK_DIM))
    return ShopProduct(
        f"S{number:05d}", name, text, category, f"{float(rng.uniform(2, 200)):.2f}",
        department * len(_DEPARTMENTS[0][1]) + group, department, language,
        np.asarray(look / np.linalg.norm(look), np.float32),
    )  # fmt: skip


def _video(rng: np.random.Generator, products: Sequence[ShopProduct]) -> tuple[int, ...]:
    """Products of a theme, of a channel that keeps to few of them; one in ten shows something else."""
    theme = _THEMES[int(rng.integers(len(_THEMES)))]
    width = len(_DEPARTMENTS[0][1])
    found: list[int] = []
    for department, group in theme:
        of_group = [n for n, one in enumerate(products) if one.group == department * width + group]
        if of_group:
            # A few sell often: the chance falls with the place, as popularity does (Zipf).
            chance = 1.0 / np.arange(1, len(of_group) + 1)
            found.append(int(rng.choice(of_group, p=chance / chance.sum())))
    if rng.random() < 0.1:
        found.append(int(rng.integers(len(products))))
    return tuple(dict.fromkeys(found))
