"""Persian names for streets, neighbourhoods and places, with their Latin spelling where needed."""

from __future__ import annotations

import numpy as np

from pipeline.sample.arrays import Ints, Objects

# fmt: off
FLOWERS = {
    "نرگس": "Narges", "لاله": "Laleh", "سوسن": "Susan", "میخک": "Mikhak", "نیلوفر": "Nilufar",
    "شقایق": "Shaqayeq", "بنفشه": "Banafsheh", "مریم": "Maryam", "اقاقیا": "Aqaqia",
    "نسرین": "Nasrin", "ارغوان": "Arghavan", "سنبل": "Sonbol", "پونه": "Puneh", "ریحان": "Reyhan",
    "زنبق": "Zanbaq", "شمعدانی": "Shamdani", "ختمی": "Khatmi", "گلایل": "Glayol",
    "اطلسی": "Atlasi", "رازقی": "Razeqi", "کوکب": "Kokab", "مینا": "Mina", "ژاله": "Zhaleh",
    "افرا": "Afra", "سرو": "Sarv", "صنوبر": "Senowbar", "چنار": "Chenar", "بید": "Bid",
    "کاج": "Kaj", "انار": "Anar", "گردو": "Gerdu", "پسته": "Pesteh", "زیتون": "Zeytun",
    "گلستان": "Golestan", "بوستان": "Bustan", "بهار": "Bahar", "سپیده": "Sepideh",
}
VIRTUES = {
    "امید": "Omid", "ایمان": "Iman", "وحدت": "Vahdat", "آزادی": "Azadi", "استقلال": "Esteqlal",
    "صداقت": "Sedaqat", "دانش": "Danesh", "عدالت": "Edalat", "بهشت": "Behesht", "کوثر": "Kowsar",
    "سعادت": "Saadat", "هجرت": "Hejrat", "شفا": "Shafa", "مهر": "Mehr", "ولایت": "Velayat",
    "سپاس": "Sepas", "پیروزی": "Piruzi", "فجر": "Fajr", "نور": "Nur", "رسالت": "Resalat",
}
SURNAMES = {
    "رضایی": "Rezaei", "کریمی": "Karimi", "احمدی": "Ahmadi", "محمدی": "Mohammadi",
    "حسینی": "Hosseini", "قاسمی": "Qasemi", "صادقی": "Sadeqi", "رحیمی": "Rahimi",
    "جعفری": "Jafari", "موسوی": "Musavi", "اکبری": "Akbari", "نوری": "Nuri", "زارعی": "Zarei",
    "شریفی": "Sharifi", "کاظمی": "Kazemi", "یوسفی": "Yusefi", "قنبری": "Qanbari",
    "گودرزی": "Gudarzi", "پناهی": "Panahi", "چمران": "Chamran",
}
AVENUES = {
    "معلم": "Moallem", "صفائیه": "Safaiyeh", "ارم": "Eram", "باجک": "Bajak", "نیروگاه": "Nirugah",
    "هفتاد و دو تن": "Haftad-o-Do Tan", "انقلاب": "Enqelab", "کارگر": "Kargar", "دانشگاه":
    "Daneshgah", "آیت‌الله مرعشی": "Ayatollah Marashi", "شهید بهشتی": "Shahid Beheshti",
    "شهید مطهری": "Shahid Motahhari", "پانزده خرداد": "Panzdah-e Khordad", "جمهوری": "Jomhuri",
    "امام خمینی": "Imam Khomeini", "غدیر": "Ghadir", "پیامبر اعظم": "Payambar-e Azam",
    "قدس": "Qods", "امین": "Amin", "ساحلی": "Saheli", "عمار یاسر": "Ammar-e Yaser",
    "سمیه": "Somayyeh", "زنبیل‌آباد": "Zanbilabad", "توحید": "Towhid", "میثم": "Meysam",
}
QUARTERS = {
    "صفاشهر": "Safashahr", "یزدانشهر": "Yazdanshahr", "پردیسان": "Pardisan", "شهرک قدس":
    "Shahrak-e Qods", "نیروگاه": "Nirugah", "باجک": "Bajak", "سالاریه": "Salariyeh",
    "زنبیل‌آباد": "Zanbilabad", "جمکران": "Jamkaran", "شاه حمزه": "Shah Hamzeh", "چهارمردان":
    "Chaharmardan", "آذر": "Azar", "گذرخان": "Gozar-e Khan", "سیدان": "Seyyedan", "الوندیه":
    "Alvandiyeh", "توحید": "Towhid", "امامزاده ابراهیم": "Emamzadeh Ebrahim", "شیخ‌آباد":
    "Sheykhabad", "فردوسی": "Ferdowsi", "مهدیه": "Mahdiyeh",
}
# fmt: on


def spelled(words: dict[str, str], number: Ints, serial: Ints) -> tuple[Objects, Objects]:
    """Persian and Latin names: word ``number`` (n,) with a serial where it is above 0."""
    fa, en = np.array(list(words), dtype=object), np.array(list(words.values()), dtype=object)
    tail = np.where(serial > 0, np.char.add(" ", serial.astype(str)), "").astype(object)
    return fa[number] + tail, en[number] + tail


def numbered(words: dict[str, str], ordinal: Ints) -> tuple[Objects, Objects]:
    """A distinct name for each ordinal 0, 1, 2 ...: after the last word serials begin."""
    return spelled(words, ordinal % len(words), ordinal // len(words))


def lane_words() -> dict[str, str]:
    """Words for lanes: flowers, virtues, and martyrs by surname."""
    martyrs = {f"شهید {fa}": f"Shahid {en}" for fa, en in SURNAMES.items()}
    return FLOWERS | VIRTUES | martyrs


def mosque_words() -> dict[str, str]:
    """Names of mosques."""
    words = {"امام حسن": "Imam Hasan", "النبی": "al-Nabi", "جامع": "Jame", "صاحب الزمان":
             "Saheb al-Zaman", "امام رضا": "Imam Reza", "الزهرا": "al-Zahra"}  # fmt: skip
    return words | VIRTUES
