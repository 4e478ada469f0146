"""What the demo programs are made of. Names are invented; the services are modelled on the founding deck."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Shelf:
    """One thing on offer: credits asked, fen owed to the merchant per piece, and what it costs besides, in fen."""

    code: str
    name: str
    name_en: str
    price_credits: int
    settlement_fen: int
    stock: int
    kind: str = "voucher"
    price_fen: int = 0
    uses: int = 1
    category: str = ""
    extend_days: int = 0
    level: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """One demo program."""

    code: str
    template: str
    name: str
    name_en: str
    region: str
    starts_on: date
    units: tuple[tuple[str, str, str, str, str | None], ...]
    sponsor: tuple[str, str, str]
    deposit_fen: int
    merchant: tuple[str, str, str]
    shops: tuple[str, ...]
    shelf: tuple[Shelf, ...]
    cause: tuple[str, str, str, int]
    partners: tuple[tuple[str, str], ...] = ()
    joining: str = "open"


CATEGORIES = (
    ("move", "绿色出行", "Getting around"),
    ("goods", "低碳好物", "Good things"),
    ("welfare", "公益", "Welfare"),
)

ENTERPRISE = Place(
    code="yunxin",
    template="enterprise",
    name="绿色云信",
    name_en="Green Yunxin Trust",
    region="CN-JX",
    starts_on=date(2026, 1, 1),
    units=(
        ("hq", "总部", "Head office", "department", None),
        ("finance", "财务部", "Finance", "department", "hq"),
        ("trust", "信托业务部", "Trust business", "department", "hq"),
        ("it", "信息技术部", "IT", "department", "hq"),
    ),
    sponsor=("union", "云信工会", "Yunxin labour union"),
    deposit_fen=5_000_000,
    merchant=("canteen", "云信员工餐厅", "Yunxin staff canteen"),
    shops=("一楼餐厅",),
    shelf=(
        Shelf("lunch", "轻食午餐券", "Light lunch", 500, 900, 200),
        Shelf("coffee", "自带杯咖啡券", "Coffee in your own cup", 200, 380, 500),
    ),
    cause=("school-kits", "山区学生文具包", "School kits for mountain pupils", 100_000),
    partners=(("office", "行政办公系统"),),
    joining="invitation",
)

COMMUNITY = Place(
    code="cuihu",
    template="community",
    name="绿色翠湖",
    name_en="Green Cuihu",
    region="CN-YN",
    starts_on=date(2026, 1, 1),
    units=(
        ("east", "东社区", "East neighbourhood", "neighbourhood", None),
        ("west", "西社区", "West neighbourhood", "neighbourhood", None),
    ),
    sponsor=("bank", "翠湖农商银行", "Cuihu Rural Bank"),
    deposit_fen=3_000_000,
    merchant=("grocery", "翠湖便民超市", "Cuihu grocery"),
    shops=("翠湖路店", "文林街店"),
    shelf=(
        Shelf("soap", "无磷洗衣液", "Phosphate-free detergent", 800, 1_500, 100),
        Shelf("rice", "本地大米 1 kg", "Local rice, 1 kg", 400, 780, 300),
    ),
    cause=("tree-plots", "滇池面山植树", "Trees above the lake", 200_000),
    partners=(("sorting", "智能分类箱"),),
)

CITY = Place(
    code="rongcheng",
    template="city",
    name="绿色蓉城",
    name_en="Green Rongcheng",
    region="CN-SC",
    starts_on=date(2026, 1, 1),
    units=(
        ("jinjiang", "锦江片区", "Jinjiang district", "district", None),
        ("wuhou", "武侯片区", "Wuhou district", "district", None),
        ("gaoxin", "高新片区", "Gaoxin district", "district", None),
    ),
    sponsor=("carbon-bank", "蓉城绿色银行", "Rongcheng Green Bank"),
    deposit_fen=20_000_000,
    merchant=("teahouse", "蓉城茶馆", "Rongcheng teahouse"),
    shops=("春熙路店", "宽巷店"),
    shelf=(
        Shelf("tea", "盖碗茶券", "A bowl of tea", 300, 580, 1_000),
        Shelf("wash", "无水洗车券", "Waterless car wash", 1_500, 2_900, 200),
        Shelf("tune-up", "自行车保养（门店服务）", "Bicycle tune-up in the shop", 50, 90, 300, "service", 990),
        Shelf("ride-card", "骑行五次卡", "Five bicycle rides", 500, 900, 400, uses=5, category="move", extend_days=30),
        Shelf("bus-code", "公交电子券", "Bus e-voucher", 100, 190, 200, "code_pool", category="move"),
        Shelf(
            "bag",
            "再生帆布袋（包邮）",
            "Recycled canvas bag, sent home",
            60,
            110,
            150,
            "parcel",
            category="goods",
        ),
        Shelf("a-tree", "为大熊猫种一棵树", "A tree for the pandas", 50, 0, 10_000, "donation", category="welfare"),
        Shelf("umbrella", "共享雨伞券", "A shared umbrella", 30, 50, 500, category="move"),
        Shelf("pioneer", "低碳先锋体验券", "For low-carbon pioneers", 100, 190, 50, level=3, category="goods"),
    ),
    cause=("panda-forest", "大熊猫栖息地修复", "Panda forest restoration", 500_000),
    partners=(("metro", "蓉城地铁"), ("bus", "蓉城公交"), ("bike", "蓉城共享单车"), ("ev", "蓉城新能源车监测平台")),
)

ARCHIVE = Place(
    code="archive-2014",
    template="city",
    name="绿色档案（2014 起）",
    name_en="Green Archive (from 2014)",
    region="CN",
    starts_on=date(2014, 1, 1),
    units=(("all", "全体", "Everybody", "district", None),),
    sponsor=("archive-fund", "档案示范基金", "Archive demonstration fund"),
    deposit_fen=50_000_000,
    merchant=("museum", "低碳博物馆", "Low-carbon museum"),
    shops=("售票处",),
    shelf=(Shelf("ticket", "博物馆门票", "Museum ticket", 1_000, 1_800, 500),),
    cause=("archive-trees", "示范林", "Demonstration grove", 100_000),
)

PLACES = (ENTERPRISE, COMMUNITY, CITY, ARCHIVE)

# Who of the local WeChat's users is who; all but the clerk's role are ordinary citizens.
PEOPLE = {
    "alice": ("爱丽丝", "rongcheng", "wuhou"),
    "bob": ("小博", "rongcheng", "jinjiang"),
    "chen": ("陈师傅", "rongcheng", "wuhou"),
    "dana": ("丹丹", "yunxin", "finance"),
    "erin": ("依琳", "cuihu", "east"),
}
OPERATORS = (("lin", "林运营"), ("wu", "吴复核"))

# The demo's partner keys are printed in the docs, so that the examples work; demo programs only.
PARTNER_KEY = ("k1", "0123456789abcdef0123456789abcdef")
DEMO_VIN = "LDEMO00000000001"
